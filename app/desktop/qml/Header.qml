// Title and model of the open conversation.
import QtQuick
import QtQuick.Layouts
import Olivine

Item {
    id: header
    property bool listed: true
    signal list_toggled()
    signal models_wanted()
    signal settings_wanted()
    signal keys_wanted()
    implicitHeight: Theme.control + 2 * Theme.spacing

    RowLayout {
        anchors.fill: parent
        anchors.leftMargin: Theme.spacing
        anchors.rightMargin: Theme.spacing
        spacing: Theme.spacing * 0.5
        IconButton {
            objectName: "toggleList"
            name: header.listed ? qsTr("Hide the conversations") : qsTr("Show the conversations")
            hint: "Ctrl+B"
            symbol: "sidebar"
            onClicked: header.list_toggled()
        }
        Text {
            objectName: "title"
            text: App.conversation.title || qsTr("New conversation")
            textFormat: Text.PlainText
            color: Theme.text
            font.pixelSize: Theme.fontSize * 1.05
            font.weight: Font.DemiBold
            elide: Text.ElideRight
            Layout.fillWidth: true
            Accessible.role: Accessible.Heading
            Accessible.name: text
        }
        TextButton {
            objectName: "modelButton"
            text: App.modelName
            symbol: "chip"
            hint: qsTr("Choose a model  Ctrl+M")
            Layout.maximumWidth: header.width * 0.45
            onClicked: header.models_wanted()
        }
        IconButton {
            objectName: "themeButton"
            name: Theme.dark ? qsTr("Light") : qsTr("Dark")
            hint: "Ctrl+Shift+L"
            symbol: Theme.dark ? "sun" : "moon"
            onClicked: App.preferences.theme = Theme.dark ? "light" : "dark"
        }
        IconButton {
            objectName: "settingsButton"
            name: qsTr("Settings")
            hint: "Ctrl+,"
            symbol: "sliders"
            onClicked: header.settings_wanted()
        }
        IconButton {
            name: qsTr("Keys")
            hint: "F1"
            symbol: "keyboard"
            visible: header.width > 560 * Theme.zoom
            onClicked: header.keys_wanted()
        }
    }
    Rectangle {
        anchors.bottom: parent.bottom
        width: parent.width
        height: 1
        color: Theme.border
    }
}
